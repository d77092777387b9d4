"""Parts of simko inside other people's trainers."""
