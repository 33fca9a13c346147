from tests.integration.conftest import jars, kafka_bootstrap, project_settings, settings, spark, topic

__all__ = ("jars", "kafka_bootstrap", "project_settings", "settings", "spark", "topic")
