"""Parts of `benchmarks/attack.py`: the wire, hostile files, the kinds of attack, the server under them, what held."""
