"""The matching core: pure, deterministic, integers only.

Commands go in, events come out; nothing here touches a file, a socket, a clock or a source of randomness, so
the same commands always give the same events. Import order, each module only from those to its right:
snapshot | invariants | depth -> engine -> arrival -> trades -> walk | admission -> book -> live -> index |
profile | codec -> commands | events -> order -> product -> units. The semantics are written in
`docs/matching.md`.
"""
