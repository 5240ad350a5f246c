namespace Ka.Core.Environments;

/// <summary>How much of what was written a node reads back from its disk and compares.</summary>
public enum VerifyMode
{
    None,
    Sample,
    Full,
}
