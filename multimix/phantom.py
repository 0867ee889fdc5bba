def draw(seed, label=0, side=256): raise NotImplementedError
