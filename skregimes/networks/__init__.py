"""Networks: parameters at the start, forward, gradient and tangent kernel."""
