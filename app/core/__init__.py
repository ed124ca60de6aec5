"""What every floor may use; knows no slice."""
