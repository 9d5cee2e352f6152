"""What all tests share: machines are shared and slow at times, so no test fails by the clock of hypothesis."""

from hypothesis import HealthCheck, settings

settings.register_profile("sima2", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sima2")
