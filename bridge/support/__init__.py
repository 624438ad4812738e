"""What an operator sends to who helps: the state of an installation, without secrets and without what users wrote."""
