"""Names and constants that the data, the losses and the exported weights share.

Gesture names are HaGRID's (Kapitanov et al., 2022), keypoints COCO's (Lin et al., 2014).
"""

GESTURES: tuple[str, ...] = (
    "call", "dislike", "fist", "four", "like", "mute", "ok", "one", "palm", "peace",
    "peace_inverted", "rock", "stop", "stop_inverted", "three", "three2", "two_up",
    "two_up_inverted", "no_gesture",
)  # fmt: skip
NO_GESTURE = GESTURES.index("no_gesture")

KEYPOINTS: tuple[str, ...] = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip

# Where each keypoint's number goes when the picture is mirrored: left and right change places.
KEYPOINT_MIRROR: tuple[int, ...] = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)

# Per-keypoint standard deviations of COCO's object keypoint similarity (OKS).
OKS_SIGMAS: tuple[float, ...] = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062,
    0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
)  # fmt: skip

# Share of a person's box that COCO's segment area has on average; used where there is no segment.
AREA_PER_BOX = 0.53

# Turning a hand upside down turns one gesture into another; other gestures become no class of ours.
UPSIDE_DOWN: dict[str, str] = {"like": "dislike", "dislike": "like", "no_gesture": "no_gesture"}

STRIDES: tuple[int, ...] = (8, 16, 32)
DFL_BINS = 16

# Label states. An ignored object is there, but its label is not sure: no class loss inside its box.
ABSENT, SURE, IGNORE = 0, 1, 2

# Keypoint visibility. Unknown keypoints stay out of every loss; the place of an occluded one is known and learnt, that of a
# hidden one (outside the picture, or nobody knows where) is not.
UNKNOWN, HIDDEN, OCCLUDED, VISIBLE = -1, 0, 1, 2
