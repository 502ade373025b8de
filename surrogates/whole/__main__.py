"""`python -m surrogates.whole`."""

from surrogates.whole.train import main

raise SystemExit(main())
