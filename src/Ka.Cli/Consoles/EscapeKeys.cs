namespace Ka.Cli.Consoles;

/// <summary>
/// Finds the detach keys among what is typed, as ssh(1) does: the escape character at the beginning of a line, then a full stop. Twice the
/// escape character sends it once.
/// </summary>
/// <param name="escape">Null for none: nothing that is typed detaches.</param>
public sealed class EscapeKeys(byte? escape)
{
    const byte Detach = (byte)'.';

    bool _atLineStart = true;
    bool _held;

    /// <summary>What goes to the node of what was typed, and whether it ended with the detach keys; the rest is left then.</summary>
    public (byte[] Keys, bool Detached) Read(ReadOnlySpan<byte> typed)
    {
        var keys = new List<byte>(typed.Length + 1);
        foreach (var key in typed)
        {
            if (_held)
            {
                _held = false;
                if (key == Detach)
                    return ([.. keys], true);
                keys.Add(escape!.Value);
                if (key == escape)
                {
                    _atLineStart = false;
                    continue;
                }
            }
            else if (_atLineStart && key == escape)
            {
                _held = true;
                continue;
            }
            keys.Add(key);
            _atLineStart = key is (byte)'\r' or (byte)'\n';
        }
        return ([.. keys], false);
    }
}
