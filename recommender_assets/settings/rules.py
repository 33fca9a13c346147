"""Rules that several sections of the configuration share."""

import msgspec


def require_share(struct: msgspec.Struct, *fields: str) -> None:
    """Refuse fields outside the open interval from 0 to 1.

    Raises:
        ValueError: naming field, value and rule.
    """
    for field in fields:
        if not 0 < getattr(struct, field) < 1:
            raise ValueError(f"{field} must lie between 0 and 1, got {getattr(struct, field)}")


def require_not_negative(struct: msgspec.Struct, *fields: str) -> None:
    """Refuse negative fields.

    Raises:
        ValueError: naming field, value and rule.
    """
    for field in fields:
        if not getattr(struct, field) >= 0:
            raise ValueError(f"{field} must not be negative, got {getattr(struct, field)}")
