"""A brand, and what is laid on an advertisement in its name: logo, badge, call to action."""
