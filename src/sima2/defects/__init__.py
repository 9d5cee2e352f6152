"""What is wrong with the data: stuck sensors, lost frames, idle time, stalls, repeated grasps, outliers, copies."""
