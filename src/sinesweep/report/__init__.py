"""A sweep's report: one page that stands alone, made by a process of its own."""
