"""The drawings of the docs: `python -m studies.drawings` writes each as an SVG file into docs/images/."""
