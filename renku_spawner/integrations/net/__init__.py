"""Network access that is guarded, cached and limited, shared by all integrations."""
