"""What training on wrong labels gains from estimates and corrections."""
