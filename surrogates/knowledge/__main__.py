"""`python -m surrogates.knowledge`."""

from surrogates.knowledge.build import main

raise SystemExit(main())
