//! What is written as JSON reads back as it was; the line's field names and order are fixed.

use std::time::Duration;

use gesto::record::Line;
use gesto::{
    Detections, Frame, Gesture, Hand, Keypoint, KeypointName, Label, Orientation, Person, PixelFormat, Rect,
    Rotation, Timing,
};

fn sample() -> Detections {
    let ms = |ms| Duration::from_micros(ms);
    Detections {
        hands: vec![
            Hand {
                gesture: Gesture::TwoUpInverted,
                class: 17,
                label: Label::new("two_up_inverted"),
                score: 0.1,
                bbox: Rect::new(1.5, 2.25, 30.0, 1.0 / 3.0),
            },
            Hand {
                gesture: Gesture::Other,
                class: 3,
                label: Label::new("cat \"Tom\""),
                score: 1.0,
                bbox: Rect::new(0.0, 0.0, 1.0, 1.0),
            },
        ],
        people: vec![Person {
            score: 0.875,
            bbox: Rect::new(0.0, 0.0, 64.0, 48.0),
            keypoints: KeypointName::ALL.map(|name| Keypoint {
                name,
                x: name.index() as f32 * 1.1,
                y: -3.0,
                score: 0.3,
            }),
        }],
        timing: Timing { resize: ms(123), model: ms(4567), decode: ms(8), nms: ms(0), total: ms(4800) },
    }
}

#[test]
fn detections_read_back() {
    let out = sample();
    let text = serde_json::to_string(&out).unwrap();
    assert_eq!(serde_json::from_str::<Detections>(&text).unwrap(), out);
}

#[test]
fn every_name_reads_back_as_it_displays() {
    for gesture in Gesture::ALL.into_iter().chain([Gesture::Other]) {
        let text = serde_json::to_string(&gesture).unwrap();
        assert_eq!(text, format!("\"{gesture}\""));
        assert_eq!(serde_json::from_str::<Gesture>(&text).unwrap(), gesture);
        assert_eq!(Gesture::from_name(gesture.name()), gesture);
    }
    for name in KeypointName::ALL {
        let text = serde_json::to_string(&name).unwrap();
        assert_eq!(text, format!("\"{name}\""));
        assert_eq!(serde_json::from_str::<KeypointName>(&text).unwrap(), name);
    }
    for format in PixelFormat::ALL {
        let text = serde_json::to_string(&format).unwrap();
        assert_eq!(serde_json::from_str::<PixelFormat>(&text).unwrap(), format);
    }
    for orientation in Orientation::all() {
        let text = serde_json::to_string(&orientation).unwrap();
        assert_eq!(serde_json::from_str::<Orientation>(&text).unwrap(), orientation);
        let degrees = i32::from(orientation.rotation.degrees());
        assert_eq!(Rotation::from_degrees(degrees - 720), Some(orientation.rotation));
    }
}

#[test]
fn the_line_is_as_documented() {
    let mut out = sample();
    let pixels = [0; 64 * 48];
    let frame = Frame::new(PixelFormat::Gray8, &pixels, 64, 48).unwrap();
    let line = Line::new("clip.gif", 3, &frame.at(Duration::from_millis(120)), &out);
    let text = serde_json::to_string(&line).unwrap();
    assert!(!text.contains('\n'), "one line: {text}");
    assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    let start = "{\"source\":\"clip.gif\",\"frame\":3,\"timestamp_ms\":120.0,\"width\":64,\"height\":48,\
        \"hands\":[{\"gesture\":\"two_up_inverted\",\"score\":0.1,\"box\":[1.5,2.25,30.0,0.33333334]},\
        {\"gesture\":\"cat \\\"Tom\\\"\",\"score\":1.0,\"box\":[0.0,0.0,1.0,1.0]}],\
        \"people\":[{\"score\":0.875,\"box\":[0.0,0.0,64.0,48.0],\
        \"keypoints\":[{\"name\":\"nose\",\"x\":0.0,\"y\":-3.0,\"score\":0.3},";
    assert!(text.starts_with(start), "{text}");
    let end = "\"timing_ms\":{\"resize\":0.123,\"model\":4.567,\"decode\":0.008,\"nms\":0.0,\"total\":4.8}}";
    assert!(text.ends_with(end), "{text}");

    out.hands.clear();
    out.people.clear();
    let text = serde_json::to_string(&Line::new("a.png", 0, &frame, &out)).unwrap();
    assert!(text.contains("\"timestamp_ms\":null,"), "{text}");
    assert!(text.contains("\"hands\":[],\"people\":[],"), "{text}");
}
