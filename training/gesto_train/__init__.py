"""Training recipe of the gesto network: 19 hand gestures and people with 17 keypoints from one pass."""
