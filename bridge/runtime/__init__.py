"""What each of our processes needs to run: loops, outages, signals, liveness. Imports no store."""
