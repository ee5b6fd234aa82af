"""One file per release that changes tables; never edited after its release."""
