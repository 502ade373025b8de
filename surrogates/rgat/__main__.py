"""`python -m surrogates.rgat`."""

from surrogates.rgat.train import main

raise SystemExit(main())
