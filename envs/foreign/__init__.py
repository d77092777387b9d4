"""Other people's tasks: reasoning-gym, tasksets of verifiers, servers of OpenEnv; their code runs in other processes."""
