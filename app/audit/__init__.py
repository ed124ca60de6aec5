"""Who did what: the list of it, and the hourly chain that shows whether anybody changed it afterwards."""
