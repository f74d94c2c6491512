"""What browsers keep of a sign-in beyond its cookie."""
