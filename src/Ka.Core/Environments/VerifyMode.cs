namespace Ka.Core.Environments;

/// <summary>How much of an unpacked image is read back from the disk and compared with what was packed.</summary>
public enum VerifyMode
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Type, owner, mode, size, links and attributes of every file; content of kernel, initrd and a random share.</summary>
    Sample,

    /// <summary>Everything.</summary>
    Full,
}
