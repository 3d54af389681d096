"""How many seeds a sweep runs: rules that stay valid although they look at the results, and the sweeper with them."""
