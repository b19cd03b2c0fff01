#!/usr/bin/env bash
# Packages: rosbags 0.11.9 with numpy 2.4.6; on a little-endian machine.
# Behaviour: an array in a ROS message has the type of its field, float64 for the positions of joints. rosbags takes
#   the bytes of the array that it is given for those of the field's type: whole numbers, which numpy.array([1, 2])
#   makes, are 5e-324 and 1e-323 in a float64 field, int32 is 1.4e-45 in a float32 field, and floats are 1065353216 in
#   an int32 field, in CDR, ROS 1 and bags. CDR does so to big-endian numbers as well. Nothing raises or warns. An
#   array whose elements are of another size is an error. The fields are annotated with their type; the docstrings of
#   serialize_cdr and serialize_ros1 do not mention it.
# Seen 2026-12-02: positions [1, 2, 3] -> [5e-324, 1e-323, 1.5e-323]; read from a bag the same; [1.0, 2.0, 3.0] as
#   they were.
# Fails (exit 1) when whole numbers are converted, or refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: rosbags==0.11.9 numpy==2.4.6
cat > "$dir/joints.py" <<'P'
import sys
import warnings

import numpy
from rosbags.rosbag2 import Reader, Writer
from rosbags.typesys import Stores, get_typestore

warnings.simplefilter("error")
store = get_typestore(Stores.ROS2_HUMBLE)
types = store.types
ARRAYS, JOINTS = "std_msgs/msg/{}MultiArray", "sensor_msgs/msg/JointState"


def array_message(name, data):
    kind = ARRAYS.format(name)
    return types[kind](layout=types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0), data=data), kind


def by_cdr(message, kind):
    return store.deserialize_cdr(store.serialize_cdr(message, kind), kind)


def by_ros1(message, kind):
    return store.deserialize_ros1(store.serialize_ros1(message, kind), kind)


numbers = [1, 2, 3]
changed = {
    ("Float64", "<i8"): [5e-324, 1e-323, 1.5e-323],
    ("Float32", "<i4"): numpy.array(numbers, "<i4").view("<f4").tolist(),
    ("Float32", ">f4"): numpy.array(numbers, ">f4").view("<f4").tolist(),
    ("Int32", "<f4"): [1065353216, 1073741824, 1077936128],
    ("Float64", "<f8"): numbers,
    ("Float32", "<f4"): numbers,
}
is_as_seen = True
for (field, kind), expected in changed.items():
    found = [way(*array_message(field, numpy.array(numbers, kind))).data.tolist() for way in (by_cdr, by_ros1)]
    print(f"{numbers} as {kind} in a field {field}: {found[0]}, by ROS 1 {found[1]}")
    is_as_seen = is_as_seen and found == [expected, numbers if kind == ">f4" else expected]

header = types["std_msgs/msg/Header"](stamp=types["builtin_interfaces/msg/Time"](sec=0, nanosec=0), frame_id="")
empty = numpy.array([])
state = types[JOINTS](header=header, name=list("abc"), position=numpy.array(numbers), velocity=empty, effort=empty)
with Writer("run", version=9) as writer:
    connection = writer.add_connection("/joints", JOINTS, typestore=store)
    writer.write(connection, 0, store.serialize_cdr(state, JOINTS))
with Reader("run") as reader:
    [(connection, _, raw)] = reader.messages()
    position = store.deserialize_cdr(raw, connection.msgtype).position.tolist()
print("positions", state.position.tolist(), "from a bag:", position)
is_as_seen = is_as_seen and position == [5e-324, 1e-323, 1.5e-323]

try:
    by_cdr(*array_message("Float32", numpy.array(numbers, "f8")))
    is_as_seen = False
except ValueError as error:
    print("float64 in a field Float32:", error)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" joints.py
