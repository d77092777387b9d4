"""Does it fit? Shapes, the forecast, the planner, and the trial before the first step."""
