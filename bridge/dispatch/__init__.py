"""The bridge process, `mobvibe run`: claims jobs, hands them to workers, and takes back the jobs of lost workers."""
