"""PYTHONPATH=INSTALLED-FOLDER GATEWAY_PORT=PORT ... python3 launch.py: MiniStack, which ends with its standard input."""

import os
import sys
import threading

from ministack.app import main


def end_with_standard_input():
    while os.read(0, 4096):
        pass
    os._exit(0)


threading.Thread(target=end_with_standard_input, daemon=True).start()
sys.argv = ["ministack"]
main()
