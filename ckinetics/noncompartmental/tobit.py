def add_tobit(*a):
    raise NotImplementedError
