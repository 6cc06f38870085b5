"""`salver doctor`: what an attacker or an outage would find in a setup. Facts are gathered first, and then judged."""
