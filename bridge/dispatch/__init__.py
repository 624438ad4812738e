"""The bridge process, `mobvibe run`: claims jobs, hands them over, and takes back those of lost workers."""
