"""Methods that try to look better than they are, and the laws that catch them."""
