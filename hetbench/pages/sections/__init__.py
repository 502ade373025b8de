"""The sections of a report page, one module each: plain JSON of `hetbench.pages.report_data` in, HTML out."""
