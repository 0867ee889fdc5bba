"""What any training project needs: files, weights, a run's folder, devices, processes, signals."""
