"""`python -m surrogates.knowledge`: build the knowledge graph."""

from surrogates.knowledge.build import main

main()
