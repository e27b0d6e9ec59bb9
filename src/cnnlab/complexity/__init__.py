"""What a net costs: parameters, multiply-adds, activations, receptive field, time, memory."""
