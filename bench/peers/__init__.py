"""Adaptors, one file per library. Each defines

    version() -> str
    set_threads(n)            called once, before anything else
    steps(task, data)         -> {variant: callable that does the whole step and waits for its result}
    check(task, data)         -> {"loss" or "output": array, name of each parameter: its gradient}, without dropout

``data`` is what tasks.draw returns; results are in convkit's layouts too (filters [O,R,S,C], dense [out,in]).
"""
