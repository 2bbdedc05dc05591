"""Prints the values of a topic, each with a newline: ADDRESS TOPIC COUNT."""
import sys

from confluent_kafka import Consumer

address, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = Consumer({
    "bootstrap.servers": address,
    "group.id": topic,
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "check.crcs": True,
})
consumer.subscribe([topic])
out, quiet = sys.stdout.buffer, 0
while count > 0 and quiet < 60:
    messages = consumer.consume(min(count, 10000), 1.0)
    quiet = 0 if messages else quiet + 1
    for message in messages:
        if message.error():
            sys.exit(str(message.error()))
        out.write(message.value() + b"\n")
    count -= len(messages)
consumer.close()
