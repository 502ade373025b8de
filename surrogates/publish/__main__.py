"""`python -m surrogates.publish`: publish a set of surrogates."""

from surrogates.publish.publish import main

raise SystemExit(main())
