"""How good a network is: outputs, metrics, figures."""
