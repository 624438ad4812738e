"""What any process needs to run: loops, outages, signals, signs of life. No store."""
