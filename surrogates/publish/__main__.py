"""`python -m surrogates.publish`."""

from surrogates.publish.publish import main

raise SystemExit(main())
