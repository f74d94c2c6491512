"""`runproxy --demo`: a stand-in provider and a small run of three agents, so that a newcomer sees a
filled dashboard without a key and without a cent."""
