"""PYTHONPATH=INSTALLED-FOLDER GATEWAY_PORT=PORT ... python3 launch.py [--detached]: MiniStack, which ends with its standard input unless it is detached.

Changed in it, because they are not as on AWS (docs/local-aws.md says how this shows):

- it does not poll Kinesis for event source mappings: local-aws/ does
- it waits 2 ms, not 50, for what a silent function may have printed
- a mapping keeps the timestamp that it was made with
- sequence numbers have 56 digits and no leading zeros, so that they stay what they are as numbers
- a template may have alarms over expressions, which then never go off
"""

import json
import os
import sys
import threading


def end_with_standard_input():
    while os.read(0, 4096):
        pass
    os._exit(0)


def leave_kinesis_to_us(lambda_svc):
    lambda_svc._poll_kinesis = lambda: False


def wait_less_for_output(lambda_runtime):
    lambda_runtime.Worker._drain_stderr_bounded.__defaults__ = (0.002, 0.002, 0.250)


def keep_timestamps_of_mappings(lambda_svc):
    create = lambda_svc._create_esm

    def create_with_timestamp(data):
        status, headers, body = create(data)
        if status == 202 and "StartingPositionTimestamp" in data:
            mapping = lambda_svc._esms.get(json.loads(body)["UUID"])
            mapping["StartingPositionTimestamp"] = data["StartingPositionTimestamp"]
        return status, headers, body

    lambda_svc._create_esm = create_with_timestamp


def count_without_leading_zeros(kinesis):
    number = kinesis._next_sequence_number

    def next_sequence_number():
        # Twenty digits of milliseconds and ten that count, which rise.
        return f"{'49':0<26}{number()}"

    kinesis._next_sequence_number = next_sequence_number


def accept_alarms_over_expressions(provisioners):
    record = provisioners._cw_metric_alarm_record

    def record_without_expressions(name, props):
        if props.get("Metrics"):
            props = {**props, "MetricName": "Expression", "Namespace": "Expressions"}
            del props["Metrics"]
        return record(name, props)

    provisioners._cw_metric_alarm_record = record_without_expressions


if __name__ == "__main__":
    if "--detached" not in sys.argv:
        threading.Thread(target=end_with_standard_input, daemon=True).start()
    sys.argv = ["ministack"]

    from ministack.core import lambda_runtime
    from ministack.services import kinesis, lambda_svc
    from ministack.services.cloudformation import provisioners

    leave_kinesis_to_us(lambda_svc)
    wait_less_for_output(lambda_runtime)
    keep_timestamps_of_mappings(lambda_svc)
    accept_alarms_over_expressions(provisioners)
    count_without_leading_zeros(kinesis)

    from ministack.app import main

    main()
