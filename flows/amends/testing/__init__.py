"""What plugin authors and tests stand on: the marketplace model, faults on purpose, contract suites.

Import the module you need (`amends.testing.marketplace`, `amends.testing.faults` …); this
package loads nothing.
"""
